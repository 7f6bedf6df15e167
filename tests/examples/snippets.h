// What the C++ fragments of the docs take for granted.
#include <mobula/api.h>
#include <mobula/media.h>
#include <mobula/model.h>
#include <mobula/python.h>

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

int Plus(int a, int b);

struct Counter {
  static std::unique_ptr<Counter> Create();
  int Add(int amount);
};

struct Meter {
  static std::unique_ptr<Meter> Create();
  static std::unique_ptr<Meter> Create(int start);
};

mobula::Tensor Load(const std::filesystem::path& file);
double Brightness(const mobula::Tensor& picture);

extern double sum;
extern const mobula::Tensor image;
