// The table of remote functions. It is global because MOBULA_REMOTE fills it while programs and libraries are
// loaded; entries are never removed, so pointers to them stay good. A lock guards the table.
#include "api/registry.h"

#include <dlfcn.h>
#include <sys/auxv.h>

#include <map>
#include <mutex>
#include <unordered_map>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "api/session.h"

namespace mobula::inline v1::internal {
namespace {

struct Table {
  std::mutex lock;
  std::map<std::string, RemoteFunction, std::less<>> by_name;
  std::unordered_map<std::string, const RemoteFunction*> by_pointer;  // type and bytes of the pointer
  std::map<std::pair<std::type_index, std::type_index>, void* (*)(void*)> upcasts;
  std::string conflict;  // the first name that was given twice
};

/// Made at the first registration, which may come before any variable here is initialised; never destroyed.
Table& table() {
  static Table& only = *new Table;
  return only;
}

std::string pointer_key(std::span<const std::byte> pointer, std::type_index type) {
  std::string key(type.name());
  return key.append(reinterpret_cast<const char*>(pointer.data()), pointer.size());
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '&')) text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

void set_digest(RemoteFunction& function, const std::string& text) {
  const XXH128_hash_t digest = XXH3_128bits(text.data(), text.size());
  function.digest_high = digest.high64;
  function.digest_low = digest.low64;
}

/// The file that holds an address; empty for the program itself, whose workers have it too.
std::string library_at(const void* address) {
  Dl_info info, program;
  if (dladdr(address, &info) == 0 || info.dli_fname == nullptr) return {};
  const void* entry = reinterpret_cast<const void*>(getauxval(AT_ENTRY));
  if (dladdr(entry, &program) != 0 && program.dli_fbase == info.dli_fbase) return {};
  return info.dli_fname;
}

}  // namespace

std::string remote_name(std::string_view written) {
  written = trimmed(written);
  const size_t open = written.find('(');
  const std::string_view before = trimmed(written.substr(0, open));
  const bool selects = before == "MOBULA_FUNC" || before == "RAY_FUNC";
  if (open == std::string_view::npos || !selects || written.back() != ')') return std::string(written);
  auto [name, parameters] = split_written(written.substr(open + 1, written.size() - open - 2));
  std::string full(trimmed(name));
  std::string list;
  while (!parameters.empty()) {
    auto [one, rest] = split_written(parameters);
    list += (list.empty() ? "" : ",") + std::string(trimmed(one));
    parameters = rest;
  }
  return list.empty() ? full : full + "(" + list + ")";
}

std::pair<std::string_view, std::string_view> split_written(std::string_view list) {
  int depth = 0;
  for (size_t i = 0; i < list.size(); ++i) {
    const char c = list[i];
    if (c == '(' || c == '<' || c == '[' || c == '{') ++depth;
    if (c == ')' || c == '>' || c == ']' || c == '}') --depth;
    if (c == ',' && depth == 0) return {list.substr(0, i), list.substr(i + 1)};
  }
  return {list, {}};
}

[[gnu::noinline]] void add_function(std::string_view written, RemoteFunction function, std::type_index type) {
  function.library = library_at(__builtin_return_address(0));
  function.name = remote_name(written);
  set_digest(function, "cpp:" + function.name);
  Table& all = table();
  std::lock_guard held(all.lock);
  const auto size = function.is_method ? sizeof(void (RemoteCall::*)()) : sizeof(void (*)());
  std::string key = pointer_key(std::span(function.pointer).first(size), type);
  auto [at, is_new] = all.by_name.try_emplace(function.name, std::move(function));
  if (!is_new && pointer_key(std::span(at->second.pointer).first(size), type) != key &&
      all.conflict.empty()) {
    all.conflict = at->first;
  }
  all.by_pointer.emplace(std::move(key), &at->second);
}

const RemoteFunction& find_function(std::span<const std::byte> pointer, std::type_index type) {
  Table& all = table();
  std::lock_guard held(all.lock);
  auto found = all.by_pointer.find(pointer_key(pointer, type));
  if (found != all.by_pointer.end()) return *found->second;
  throw RayFunctionNotFound("the function (of type " + type_name(type) +
                            ") is not registered: name it in MOBULA_REMOTE(...) at namespace scope");
}

const RemoteFunction& python_function(std::string_view module, std::string_view name) {
  RemoteFunction function;
  function.name = std::string(module) + ":" + std::string(name);
  function.python = true;
  set_digest(function, "py:" + function.name);
  Table& all = table();
  std::lock_guard held(all.lock);
  // "py:" cannot begin a C++ name, so the two kinds share one table.
  return all.by_name.try_emplace("py:" + function.name, std::move(function)).first->second;
}

bool add_upcast(std::type_index from, std::type_index to, void* (*cast)(void*)) {
  Table& all = table();
  std::lock_guard held(all.lock);
  all.upcasts.emplace(std::pair(from, to), cast);
  return true;
}

void* upcast(void* object, std::type_index from, std::type_index to) {
  if (from == to) return object;
  Table& all = table();
  std::lock_guard held(all.lock);
  auto found = all.upcasts.find({from, to});
  return found == all.upcasts.end() ? nullptr : found->second(object);
}

const RemoteFunction* find_named(std::string_view name) {
  Table& all = table();
  std::lock_guard held(all.lock);
  auto found = all.by_name.find(remote_name(name));
  return found == all.by_name.end() || found->second.python ? nullptr : &found->second;
}

const RemoteFunction* find_method(std::string_view name, std::type_index type) {
  Table& all = table();
  std::lock_guard held(all.lock);
  if (auto exact = all.by_name.find(name); exact != all.by_name.end() && exact->second.is_method)
    return &exact->second;
  for (const auto& [known, function] : all.by_name) {
    const size_t at = known.rfind("::");
    const bool is_short = at != std::string::npos && std::string_view(known).substr(at + 2) == name;
    const bool fits = function.of_class == type || all.upcasts.contains({type, function.of_class});
    if (is_short && function.is_method && fits) return &function;
  }
  return nullptr;
}

std::string name_conflict() {
  Table& all = table();
  std::lock_guard held(all.lock);
  return all.conflict;
}

std::vector<std::string> registered_names() {
  Table& all = table();
  std::lock_guard held(all.lock);
  std::vector<std::string> names;
  for (const auto& [name, function] : all.by_name) {
    if (!function.python) names.push_back(name);
  }
  return names;
}

FunctionId cpp_function_id(std::string_view name) {
  RemoteFunction function;
  set_digest(function, "cpp:" + remote_name(name));
  return digest_of(function);
}

FunctionId python_function_id(std::string_view module, std::string_view name) {
  RemoteFunction function;
  set_digest(function, "py:" + std::string(module) + ":" + std::string(name));
  return digest_of(function);
}

Status load_library(const std::string& path) {
  if (dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr) return Status::ok();
  const char* why = dlerror();
  return Status(Code::kNotFound,
                "library '" + path + "' cannot be loaded: " + (why == nullptr ? "no reason given" : why));
}

}  // namespace mobula::inline v1::internal
