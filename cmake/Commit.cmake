# cmake -D SOURCE=… -D OUTPUT=… -P Commit.cmake: writes LEASEHOLD_COMMIT: of the clone SOURCE; else what
# the variable LEASEHOLD_COMMIT says, as in an image; else nothing.
set(commit "$ENV{LEASEHOLD_COMMIT}")
if(EXISTS ${SOURCE}/.git)
  execute_process(COMMAND git -c safe.directory=* -C ${SOURCE} rev-parse --short=10 HEAD
    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(failed)
    set(commit "")
  endif()
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#pragma once\n#define LEASEHOLD_COMMIT \"${commit}\"\n")
