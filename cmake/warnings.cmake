# SPDX-License-Identifier: MIT
#
# haft_warnings: what every C file of this project is compiled with; haft_warnings_cxx for the C++ ones.

add_library(haft_warnings INTERFACE)
target_compile_options(haft_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wvla -Wundef
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>
  # clang makes a jump into the scope of a cleanup variable an error by itself.
  $<$<COMPILE_LANG_AND_ID:C,GNU>:-Wjump-misses-init>
  $<$<BOOL:${HAFT_WERROR}>:-Werror>)
