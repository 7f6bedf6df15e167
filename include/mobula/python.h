// Python functions and classes as C++ names them. Values pass both ways as they do between the languages:
// numbers, text, lists, maps, tensors (NumPy arrays, in place) and Arrow tables.
#pragma once

#include <string>

namespace mobula::inline v1 {

/// A function of a module; R is what its result is read as.
template <typename R>
struct PyFunction {
  std::string module_name;
  std::string function_name;
};

/// A class of a module; its instances are actors.
struct PyActorClass {
  std::string module_name;
  std::string class_name;
};

/// A method of such an actor; R is what its result is read as.
template <typename R>
struct PyActorMethod {
  std::string function_name;
};

}  // namespace mobula::inline v1
