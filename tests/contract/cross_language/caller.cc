// A C++ program whose workers are Python processes: calls the functions and the class of called.py. Prints
// one line for each check that failed, and "done".
#include <mobula/api.h>

#include <iostream>

using mobula::Actor;
using mobula::Any;
using mobula::PyActorClass;
using mobula::PyActorMethod;
using mobula::PyFunction;
using mobula::Task;

int Add(int a, int b);  // of the library in code_search_path

struct Point {
  double x = 0, y = 0;
  MOBULA_SERIALIZE(x, y);
};

void check(bool holds, const char* what) {
  if (!holds) std::cout << "failed: " << what << "\n";
}

void check_functions() {
  check(*Task(PyFunction<int>{"called", "add"}).Remote(1, 2).Get() == 3, "numbers");
  check(*Task(PyFunction<std::string>{"called", "add"}).Remote("a", std::string("b")).Get() == "ab", "text");
  auto one = Task(PyFunction<int>{"called", "add"}).Remote(1, 2);
  check(*Task(PyFunction<int>{"called", "add"}).Remote(one, 10).Get() == 13, "a reference as an argument");
  check(*Task(Add).Remote(one, 1).Get() == 4, "a C++ function in a Python worker");
  auto scaled =
      Task(PyFunction<mobula::Tensor>{"called", "scale"}).Remote(std::vector<float>(100'000, 2.f), 3).Get();
  check(scaled->size() == 100'000 && scaled->as_span<float>().back() == 6.f, "an array there and back");
  auto flags = Task(PyFunction<Any>{"called", "describe"})
                   .Remote(mobula::Tensor(mobula::DType::kInt32, {300, 200}))
                   .Get();
  check(flags->at("owns").as<bool>() == false && flags->at("dtype").as<std::string>() == "int32",
        "an array in place");
  auto points = Task(PyFunction<std::vector<Point>>{"called", "points"}).Remote(3).Get();
  check(points->size() == 3 && points->at(2).y == 4.0, "dicts as structs");
  std::vector<double> halves;
  auto stream = Task(PyFunction<mobula::Generator<double>>{"called", "halves"}).Remote(8.0);
  for (const auto& half : stream) halves.push_back(*half.Get());
  check(halves == std::vector<double>{4, 2, 1}, "a generator");
  auto text =
      Task(PyFunction<std::string>{"called", "text"}).Remote(std::tuple<int, mobula::Bytes>{1, {"x"}}).Get();
  check(*text == "(1, b'x')", "a tuple of a number and bytes");
  try {
    Task(PyFunction<int>{"called", "fail"}).Remote("way").Get();
    check(false, "an exception of Python's");
  } catch (const mobula::RayTaskException& error) {
    check(error.error().type == "ValueError" && error.error().message == "no way", "its type and message");
    check(error.error().traceback.find("in fail") != std::string::npos, "its traceback");
  }
}

void check_actors() {
  auto model = Actor(PyActorClass{"called", "Model"}).SetName("model").Remote(5);
  auto shifted =
      model.Task(PyActorMethod<std::vector<double>>{"shift"}).Remote(std::vector<double>{1, 2}).Get();
  check(*shifted == std::vector<double>{6, 7}, "a method");
  check(*mobula::GetActor("model")->Task(PyActorMethod<int>{"bias"}).Remote().Get() == 5, "an actor by name");
  try {
    model.Task(PyActorMethod<int>{"fail"}).Remote().Get();
    check(false, "an exception of a method");
  } catch (const mobula::RayTaskException& error) {
    check(error.error().type == "KeyError", "the type of a method's exception");
  }
  model.Kill();
}

int main(int, char** argv) {
  mobula::Config config;
  config.num_cpus = 2;
  config.python = argv[1];
  config.code_search_path = {argv[2]};
  mobula::Init(config);
  check_functions();
  check_actors();
  mobula::Shutdown();
  std::cout << "done\n";
}
