# Installs component `client` of BUILD_DIR below WORK_DIR, then configures, builds and runs the project
# in CONSUMER_DIR with it.
file(REMOVE_RECURSE ${WORK_DIR})
set(prefix ${WORK_DIR}/prefix)
set(build ${WORK_DIR}/build)

execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD_DIR} --component client --prefix ${prefix}
                OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} -S ${CONSUMER_DIR} -B ${build}
                        -D CMAKE_PREFIX_PATH=${prefix} -D CMAKE_CXX_COMPILER=${COMPILER}
                        -D CMAKE_CXX_FLAGS=${FLAGS}
                COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} --build ${build} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${build}/consumer COMMAND_ERROR_IS_FATAL ANY)

# What was installed must not lean on the tree it came from.
file(GLOB_RECURSE installed ${prefix}/*.cmake ${prefix}/*.h)
foreach(file IN LISTS installed)
  file(READ ${file} content)
  string(FIND "${content}" "${BUILD_DIR}/" at)
  if(NOT at EQUAL -1)
    message(FATAL_ERROR "${file} mentions the build folder")
  endif()
endforeach()
