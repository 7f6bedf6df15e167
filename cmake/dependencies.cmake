# Libraries from outside, each as one target: mobula_arrow and mobula_openvino from the wheels of the Python
# that builds, mobula_codecs (FFmpeg and images) from the system.
if(MOBULA_PYTHON)
  find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module)
else()
  find_package(Python 3.11 REQUIRED COMPONENTS Interpreter)
endif()

# mobula_ask_python(<out> <code>): what a line of Python prints, empty where it fails.
function(mobula_ask_python out code)
  execute_process(COMMAND "${Python_EXECUTABLE}" -c "${code}" OUTPUT_VARIABLE answer ERROR_QUIET
                  RESULT_VARIABLE failed OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(failed)
    set(answer "")
  endif()
  set(${out} "${answer}" PARENT_SCOPE)
endfunction()

# mobula_imported(<target> <library file>): a shared library that lies in a wheel.
function(mobula_imported target file)
  add_library(${target} SHARED IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES IMPORTED_LOCATION "${file}")
endfunction()

# Arrow C++: its soname carries the major version and a minor one, so the wheel that was built with it has
# to be installed.
set(MOBULA_MISSING_mobula_arrow "no pyarrow in ${Python_EXECUTABLE}; pip install 'pyarrow==26.0.*'")
mobula_ask_python(MOBULA_ARROW_DIR
  "import pathlib, importlib.util as u; print(pathlib.Path(u.find_spec('pyarrow').origin).parent)")
if(MOBULA_ARROW_DIR)
  add_library(mobula_arrow INTERFACE)
  target_include_directories(mobula_arrow SYSTEM INTERFACE "${MOBULA_ARROW_DIR}/include")
  foreach(part arrow parquet arrow_acero arrow_compute arrow_dataset)
    file(GLOB file "${MOBULA_ARROW_DIR}/lib${part}.so.[0-9]*")
    list(FILTER file EXCLUDE REGEX "so\\.[0-9]+\\.")
    if(NOT file)
      message(FATAL_ERROR "no lib${part}.so in ${MOBULA_ARROW_DIR}: pip install 'pyarrow==26.0.*'")
    endif()
    list(GET file 0 file)
    mobula_imported(mobula_arrow_${part} "${file}")
    target_link_libraries(mobula_arrow INTERFACE mobula_arrow_${part})
  endforeach()
endif()

# OpenVINO: headers and libraries of the wheel.
set(MOBULA_MISSING_mobula_openvino "no openvino in ${Python_EXECUTABLE}; pip install openvino")
if(MOBULA_MODEL)
  mobula_ask_python(MOBULA_OPENVINO_DIR
    "import pathlib, importlib.util as u; print(pathlib.Path(u.find_spec('openvino').origin).parent)")
  if(MOBULA_OPENVINO_DIR)
    file(GLOB file "${MOBULA_OPENVINO_DIR}/libs/libopenvino.so.[0-9]*")
    if(file)
      list(GET file 0 file)
      mobula_imported(mobula_openvino_runtime "${file}")
      add_library(mobula_openvino INTERFACE)
      target_include_directories(mobula_openvino SYSTEM INTERFACE "${MOBULA_OPENVINO_DIR}/include")
      target_link_libraries(mobula_openvino INTERFACE mobula_openvino_runtime)
      target_link_options(mobula_openvino INTERFACE "LINKER:--allow-shlib-undefined")
    endif()
  endif()
endif()

# FFmpeg and the image formats.
find_package(PkgConfig)
set(MOBULA_MISSING_mobula_codecs "pkg-config finds not all of FFmpeg, libjpeg, libpng and libwebp; \
apt-get install pkg-config libavformat-dev libavcodec-dev libavutil-dev libswscale-dev libswresample-dev \
libjpeg62-turbo-dev libpng-dev libwebp-dev")
if(PkgConfig_FOUND)
  pkg_check_modules(codecs IMPORTED_TARGET QUIET
    libavformat libavcodec libavutil libswscale libswresample libjpeg libpng libwebp)
  if(codecs_FOUND)
    add_library(mobula_codecs INTERFACE)
    target_link_libraries(mobula_codecs INTERFACE PkgConfig::codecs)
  endif()
endif()
