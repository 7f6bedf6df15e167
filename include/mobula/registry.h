// Which functions, factories and methods can be called remotely, by name: MOBULA_REMOTE. Registration happens
// while the program or the library is loaded, so the same names are known in the driver and in its workers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <typeindex>
#include <utility>
#include <vector>

#include <mobula/codec.h>
#include <mobula/generator.h>
#include <mobula/serialize.h>

/// MOBULA_REMOTE(Plus, Counter::Create, &Counter::Add); at namespace scope makes these callable. Overloaded
/// functions are named with their parameters: MOBULA_FUNC(Counter::Create, int).
#define MOBULA_REMOTE(...)                                           \
  [[maybe_unused]] static const bool MOBULA_UNIQUE(mobula_remote_) = \
      ::mobula::internal::register_all(#__VA_ARGS__, __VA_ARGS__)

/// The overload of a function or method that takes these parameters: MOBULA_FUNC(f, int, double).
#define MOBULA_FUNC(function, ...) ::mobula::internal::Overload<__VA_ARGS__>()(function)

#define MOBULA_UNIQUE(name) MOBULA_PASTE(name, __COUNTER__)
#define MOBULA_PASTE(a, b) MOBULA_PASTE_NOW(a, b)
#define MOBULA_PASTE_NOW(a, b) a##b

namespace mobula::inline v1::internal {

class RemoteCall;

/// A function, factory or method that can be called by name, in this language or in Python.
struct RemoteFunction {
  using Invoke = void (*)(const RemoteFunction& self, RemoteCall& call);

  std::string name;     // "Plus", "Counter::Add", "Counter::Create(int)"; "module:f" in Python
  std::string library;  // the shared library it is in; empty: the program
  bool python = false;
  uint64_t digest_high = 0, digest_low = 0;  // of language and name
  size_t arity = 0;
  Invoke invoke = nullptr;
  std::array<std::byte, 16> pointer{};      // to the function or method
  std::type_index of_class = typeid(void);  // whose method, or what the factory makes
  bool is_method = false;
  bool is_generator = false;

  template <typename F>
  F target() const {
    F function;
    std::memcpy(&function, pointer.data(), sizeof function);
    return function;
  }
};

/// Adds a function; a name that is taken by another one makes Init fail.
void add_function(std::string_view written, RemoteFunction function, std::type_index type);
/// RayFunctionNotFound when a pointer is not registered.
const RemoteFunction& find_function(std::span<const std::byte> pointer, std::type_index type);
/// What stands for a Python function or class, "module:name".
const RemoteFunction& python_function(std::string_view module, std::string_view name);
/// The text of one name in a MOBULA_REMOTE list, and the rest of the list behind it.
std::pair<std::string_view, std::string_view> split_written(std::string_view list);

/// Says how a pointer to `from` becomes one to its base class `to`.
bool add_upcast(std::type_index from, std::type_index to, void* (*cast)(void*));

/// A call while it runs in a worker: arguments in, result out.
class RemoteCall {
 public:
  RemoteCall(const RemoteFunction& function, std::vector<ValueReader> arguments, void* self,
             std::type_index self_type);

  /// Argument `index` as a T. What it views lives as long as the call.
  template <typename T>
  T argument(size_t index) {
    try {
      return arguments_[index].read<T>();
    } catch (const RayValueException& error) {
      bad_argument(index, error.what());
    }
  }
  template <typename C>
  C& self() const {
    return *static_cast<C*>(self_as(typeid(C)));
  }
  ValueWriter& result() { return result_; }
  /// What a factory made.
  void produce(std::shared_ptr<void> object, std::type_index type);
  bool wants_object() const { return wants_object_; }
  void want_object() { wants_object_ = true; }
  const std::shared_ptr<void>& object() const { return object_; }
  std::type_index object_type() const { return object_type_; }
  [[noreturn]] void not_a_value() const;
  /// Hands one item of a generator over; false once nobody wants more.
  bool give_item(const ValueWriter& item) { return take_item_(item); }
  void take_items(std::function<bool(const ValueWriter&)> take) { take_item_ = std::move(take); }

 private:
  void* self_as(std::type_index wanted) const;
  [[noreturn]] void bad_argument(size_t index, const char* what) const;

  const RemoteFunction& function_;
  std::vector<ValueReader> arguments_;
  void* self_;
  std::type_index self_type_;
  ValueWriter result_;
  std::shared_ptr<void> object_;
  std::type_index object_type_ = typeid(void);
  bool wants_object_ = false;
  std::function<bool(const ValueWriter&)> take_item_;
};

// ---- what a function's type says
// -----------------------------------------------------------------------------------

template <typename R, typename C, typename... P>
struct Signature {
  using Result = R;
  using Class = C;  // void for functions
  using Parameters = std::tuple<P...>;
  static constexpr size_t kArity = sizeof...(P);
};

template <typename F>
struct SignatureOf;
template <typename R, typename... P, bool N>
struct SignatureOf<R (*)(P...) noexcept(N)> : Signature<R, void, P...> {};
template <typename R, typename C, typename... P, bool N>
struct SignatureOf<R (C::*)(P...) noexcept(N)> : Signature<R, C, P...> {};
template <typename R, typename C, typename... P, bool N>
struct SignatureOf<R (C::*)(P...) const noexcept(N)> : Signature<R, C, P...> {};
template <typename R, typename C, typename... P, bool N>
struct SignatureOf<R (C::*)(P...) & noexcept(N)> : Signature<R, C, P...> {};
template <typename R, typename C, typename... P, bool N>
struct SignatureOf<R (C::*)(P...) const & noexcept(N)> : Signature<R, C, P...> {};

template <typename F>
concept Callable = requires { typename SignatureOf<F>::Result; };

template <typename F>
using ResultOf = typename SignatureOf<F>::Result;
template <typename F, size_t I>
using ParameterOf = std::tuple_element_t<I, typename SignatureOf<F>::Parameters>;

/// The class of the object that a factory's result points to; void when the result is no pointer.
template <typename R>
struct MadeBy {
  using type = void;
};
template <typename T>
struct MadeBy<T*> {
  using type = T;
};
template <typename T>
struct MadeBy<std::unique_ptr<T>> {
  using type = T;
};
template <typename T>
struct MadeBy<std::shared_ptr<T>> {
  using type = T;
};

template <typename... Args>
struct Overload {
  template <typename R>
  constexpr auto operator()(R (*function)(Args...)) const {
    return function;
  }
  template <typename R, typename C>
  constexpr auto operator()(R (C::*method)(Args...)) const {
    return method;
  }
  template <typename R, typename C>
  constexpr auto operator()(R (C::*method)(Args...) const) const {
    return method;
  }
};

// ---- invocation
// ------------------------------------------------------------------------------------------------------

/// A decoded argument as its parameter takes it: by reference, or moved.
template <typename P, typename V>
decltype(auto) pass(V& value) {
  if constexpr (std::is_lvalue_reference_v<P>)
    return static_cast<V&>(value);
  else
    return std::move(value);
}

/// Hands the result over: a value, or the object that a factory made.
template <typename R>
void finish(RemoteCall& call, R&& result) {
  using Plain = std::remove_cvref_t<R>;
  using Made = typename MadeBy<Plain>::type;
  if constexpr (!std::is_void_v<Made> && !std::is_const_v<Made>) {
    if (call.wants_object()) {
      return call.produce(std::shared_ptr<void>(std::shared_ptr<Made>(std::move(result))), typeid(Made));
    }
  }
  if constexpr (Encodable<Plain>) {
    call.result().write(std::forward<R>(result));
  } else {
    if constexpr (std::is_pointer_v<Plain>) delete result;
    call.not_a_value();
  }
}

template <typename F, size_t... I>
void invoke_with(F function, RemoteCall& call, std::index_sequence<I...>) {
  using R = ResultOf<F>;
  using Class = typename SignatureOf<F>::Class;
  [[maybe_unused]] std::tuple<std::decay_t<ParameterOf<F, I>>...> values{
      call.argument<std::decay_t<ParameterOf<F, I>>>(I)...};
  auto run = [&]() -> R {
    if constexpr (std::is_void_v<Class>)
      return function(pass<ParameterOf<F, I>>(std::get<I>(values))...);
    else
      return (call.self<Class>().*function)(pass<ParameterOf<F, I>>(std::get<I>(values))...);
  };
  if constexpr (kIsGenerator<std::remove_cvref_t<R>>) {
    for (auto items = run(); const auto* item = items.next();) {
      ValueWriter out;
      out.write(*item);
      if (!call.give_item(out)) break;
    }
  } else if constexpr (std::is_void_v<R>) {
    run();
    call.result().null();
  } else {
    finish(call, run());
  }
}

template <typename F>
void invoke(const RemoteFunction& self, RemoteCall& call) {
  invoke_with(self.target<F>(), call, std::make_index_sequence<SignatureOf<F>::kArity>{});
}

template <typename F>
void register_one(std::string_view written, F function) {
  static_assert(Callable<F>, "MOBULA_REMOTE takes functions, static factories and methods");
  static_assert(sizeof(F) <= sizeof(RemoteFunction::pointer));
  using Class = typename SignatureOf<F>::Class;
  RemoteFunction entry;
  entry.arity = SignatureOf<F>::kArity;
  entry.invoke = &invoke<F>;
  std::memcpy(entry.pointer.data(), &function, sizeof function);
  entry.is_method = !std::is_void_v<Class>;
  entry.is_generator = kIsGenerator<std::remove_cvref_t<ResultOf<F>>>;
  if constexpr (!std::is_void_v<Class>)
    entry.of_class = typeid(Class);
  else
    entry.of_class = typeid(typename MadeBy<std::remove_cvref_t<ResultOf<F>>>::type);
  add_function(written, std::move(entry), typeid(F));
}

template <typename... F>
bool register_all(std::string_view written, F... functions) {
  auto one = [&](auto function) {
    auto [name, rest] = split_written(written);
    written = rest;
    register_one(name, function);
  };
  (one(functions), ...);
  return true;
}

/// The entry of a function or method that is registered.
template <typename F>
const RemoteFunction& lookup(F function) {
  return find_function(std::as_bytes(std::span<const F, 1>(&function, 1)), typeid(F));
}

/// Makes methods of a base class callable on actors of a derived one. Instantiated where such a call is
/// compiled.
template <typename From, typename To>
struct Upcast {
  static void* cast(void* object) { return static_cast<To*>(static_cast<From*>(object)); }
  inline static const bool kKnown = add_upcast(typeid(From), typeid(To), &cast);
};

}  // namespace mobula::inline v1::internal
