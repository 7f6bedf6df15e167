// The shortest program: a function runs in a worker, and its result comes back.
#include <mobula/api.h>

#include <iostream>

int Plus(int a, int b) { return a + b; }

std::string Greet(const std::string& name) { return "hello, " + name; }

MOBULA_REMOTE(Plus, Greet);

int main() {
  mobula::Init();

  auto sum = mobula::Task(Plus).Remote(1, 2);
  auto total = mobula::Task(Plus).Remote(sum, 10);  // waits for `sum` by itself
  std::cout << *total.Get() << "\n";

  auto name = mobula::Put("world");
  std::cout << *mobula::Get(mobula::Task(Greet).Remote(name)) << "\n";

  std::vector<mobula::ObjectRef<int>> squares;
  for (int i = 0; i < 10; ++i) squares.push_back(mobula::Task(Plus).Remote(i, i));
  int all = 0;
  for (const auto& value : mobula::Get(squares)) all += *value;
  std::cout << all << "\n";

  mobula::Shutdown();
}
