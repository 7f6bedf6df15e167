# Compiler, linker and language settings, the same for every target of ours. Carried by the interface target
# mobula_flags.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
  message(FATAL_ERROR "Mobula needs g++ 12 or newer, found ${CMAKE_CXX_COMPILER_VERSION}.")
endif()
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")

find_program(MOBULA_CCACHE ccache)
if(MOBULA_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env
      "CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime" "${MOBULA_CCACHE}")
endif()
find_program(MOBULA_MOLD mold)

find_package(Threads REQUIRED)
add_library(mobula_flags INTERFACE)
target_compile_options(mobula_flags INTERFACE -Wall -Wextra -fno-semantic-interposition)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  if(MOBULA_WERROR)
    target_compile_options(mobula_flags INTERFACE -Werror)   # clang++, for fuzzers alone, only warns
  endif()
  # Wrong in g++ 12: -Wrestrict and -Wstringop-overflow about std::string (GCC PR105651, PR105329), and
  # -Warray-bounds with -O3; -Wmaybe-uninitialized about std::variant and std::optional (PR80635).
  # -fpch-preprocess lets ccache see through the headers.
  target_compile_options(mobula_flags INTERFACE -Wno-restrict -Wno-stringop-overflow -Wno-maybe-uninitialized
    -fpch-preprocess $<$<CONFIG:Release>:-Wno-array-bounds>)
endif()
target_link_libraries(mobula_flags INTERFACE Threads::Threads ${CMAKE_DL_LIBS})
if(MOBULA_MOLD)
  target_link_options(mobula_flags INTERFACE -fuse-ld=mold)
endif()
if(MOBULA_SANITIZE)
  # The optimiser's guesses about values go wrong in instrumented code: they stay warnings there.
  target_compile_options(mobula_flags INTERFACE -fsanitize=${MOBULA_SANITIZE} -fno-omit-frame-pointer)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(mobula_flags INTERFACE -Wno-error=array-bounds -Wno-error=stringop-overflow
      -Wno-error=nonnull)
  endif()
  target_link_options(mobula_flags INTERFACE -fsanitize=${MOBULA_SANITIZE})
  if(MOBULA_SANITIZE MATCHES "undefined")
    target_compile_options(mobula_flags INTERFACE -fno-sanitize-recover=undefined)
  endif()
  if(MOBULA_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(mobula_flags INTERFACE -Wno-tsan)   # atomic_thread_fence is not modelled
  endif()
endif()
