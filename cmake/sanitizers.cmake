# SPDX-License-Identifier: MIT
#
# HAFT_SANITIZE and HAFT_COVERAGE, for everything built in this tree.

if(HAFT_SANITIZE)
  string(REPLACE ";" "," sanitizers "${HAFT_SANITIZE}")
  add_compile_options(-fsanitize=${sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${sanitizers})
endif()

if(HAFT_COVERAGE)
  # Counters are shared by threads and by tasks that move between them.
  add_compile_options(--coverage -fprofile-update=atomic)
  add_link_options(--coverage)
endif()
