# SPDX-License-Identifier: MIT
#
# Run by `cmake --install`: writes haft.pc for the prefix that is installed to, which --prefix may have changed.

function(haft_install_pkgconfig template file PROJECT_VERSION PROJECT_DESCRIPTION libdir includedir)
  foreach(name LIBDIR INCLUDEDIR)
    string(TOLOWER ${name} variable)
    if(IS_ABSOLUTE "${${variable}}")
      set(HAFT_PC_${name} "${${variable}}")
    else()
      set(HAFT_PC_${name} "\${prefix}/${${variable}}")
    endif()
  endforeach()
  configure_file("${template}" "${file}" @ONLY)
  if(NOT IS_ABSOLUTE "${libdir}")
    set(libdir "${CMAKE_INSTALL_PREFIX}/${libdir}")
  endif()
  file(INSTALL "${file}" DESTINATION "${libdir}/pkgconfig")
endfunction()
