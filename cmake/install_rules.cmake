# What a wheel holds (scikit-build-core puts the prefix into site-packages): the package, the modules, the
# headers and the shared libraries of the C++ API. Sibling wheels' libraries are found relative to ours.
get_property(modules GLOBAL PROPERTY MOBULA_MODULES)
get_property(libraries GLOBAL PROPERTY MOBULA_SHARED)
foreach(library mobula_data mobula_model)
  if(TARGET ${library})
    set_target_properties(${library} PROPERTIES
      INSTALL_RPATH "$ORIGIN;$ORIGIN/../../pyarrow;$ORIGIN/../../openvino/libs")
  endif()
endforeach()
if(libraries)
  install(TARGETS ${libraries} LIBRARY DESTINATION mobula/lib COMPONENT python)
endif()
if(modules)
  install(TARGETS ${modules} LIBRARY DESTINATION mobula COMPONENT python)
endif()
install(DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}/include/mobula" DESTINATION mobula/include
        COMPONENT python OPTIONAL FILES_MATCHING PATTERN "*.h")
install(DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}/python/mobula/" DESTINATION mobula COMPONENT python OPTIONAL
        FILES_MATCHING PATTERN "*.py" PATTERN "*.pyi" PATTERN "py.typed" PATTERN "__pycache__" EXCLUDE
        REGEX "/python/mobula/(lib|include)$" EXCLUDE)
