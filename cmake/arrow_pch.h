// What most files of src/data include, compiled once for all of them.
#pragma once
#include <arrow/api.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>
