# Networks in a CMake build: include(<what `uc-nn cmake-dir` prints>/uc_nn.cmake), then
#
#     uc_nn_add_model(digits SPEC models/lenet5.yaml [BOARD hifive1] [PYTHON python])
#     target_link_libraries(app PRIVATE digits)
#
# `digits` is a static library of the network's C, made at build time and made again when the spec, the weights or the
# network's Python change. Its header is on the include path of whoever links it. PYTHON is the interpreter that has
# uc_nn_pio and torch; without it UC_NN_PYTHON, the environment's $UC_NN_PYTHON, or the first python3.
#
# This file is yours: use, change and pass it on without conditions.

include_guard(GLOBAL)

function(uc_nn_add_model target)
  cmake_parse_arguments(ARG "" "SPEC;BOARD;PYTHON" "" ${ARGN})
  if(NOT ARG_SPEC OR ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "uc_nn_add_model(TARGET SPEC file.yaml [BOARD id] [PYTHON python]), not: ${target} ${ARGN}")
  endif()
  get_filename_component(spec "${ARG_SPEC}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
  if(NOT EXISTS "${spec}")
    message(FATAL_ERROR "uc_nn_add_model: there is no model spec ${spec}")
  endif()
  file(STRINGS "${spec}" name REGEX "^name:" LIMIT_COUNT 1)
  string(REGEX REPLACE "^name:[ \t]*[\"']?([A-Za-z0-9_]+).*" "\\1" name "${name}")
  if(NOT name)
    message(FATAL_ERROR "uc_nn_add_model: ${spec} has no `name:`")
  endif()

  set(python "${ARG_PYTHON}")
  foreach(candidate "${UC_NN_PYTHON}" "$ENV{UC_NN_PYTHON}")
    if(NOT python)
      set(python "${candidate}")
    endif()
  endforeach()
  if(NOT python)
    find_package(Python3 COMPONENTS Interpreter REQUIRED)
    set(python "${Python3_EXECUTABLE}")
  endif()

  set(out "${CMAKE_CURRENT_BINARY_DIR}/uc_nn/${target}")
  set(board "")
  if(ARG_BOARD)
    set(board --board "${ARG_BOARD}")
  endif()
  add_custom_command(
    OUTPUT "${out}/${name}.c" "${out}/${name}.h"
    COMMAND "${python}" -m uc_nn_pio convert "${spec}" ${board} -o "${out}" --depfile "${out}/${name}.d"
    DEPENDS "${spec}"
    DEPFILE "${out}/${name}.d"
    COMMENT "uc_nn: converting ${ARG_SPEC}"
    VERBATIM)
  add_library(${target} STATIC "${out}/${name}.c" "${out}/${name}.h")
  target_include_directories(${target} PUBLIC "${out}")
  set_target_properties(${target} PROPERTIES C_STANDARD 99)
  if(TARGET zephyr_interface) # Zephyr's flags for everything that goes into its image
    target_link_libraries(${target} PUBLIC zephyr_interface)
  endif()
endfunction()
