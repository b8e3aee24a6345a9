# Installs the build into a fresh prefix, builds a separate project that finds
# nothing but faiss_qbnorm, and runs it and the installed program. Then lets the
# headers meet another FAISS, which they must refuse in words.
# cmake -DBUILD=... -DSOURCE=... -DWORK=... -DCXX=... -DFLAGS=...
#   -DGENERATOR=... -P this

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status
    OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN} failed:\n${output}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
set(prefix ${WORK}/prefix)
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})
run(${CMAKE_COMMAND} -S ${SOURCE}/consumer -B ${WORK}/consumer -G ${GENERATOR}
  -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_CXX_COMPILER=${CXX}
  -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS=${FLAGS})
run(${CMAKE_COMMAND} --build ${WORK}/consumer)
run(${WORK}/consumer/consumer)
run(${prefix}/bin/qbnorm --help)

file(WRITE ${WORK}/other/faiss/Index.h
  "#define FAISS_VERSION_MAJOR 1\n"
  "#define FAISS_VERSION_MINOR 99\n"
  "#define FAISS_VERSION_PATCH 0\n")
file(WRITE ${WORK}/other/main.cpp
  "#include <faiss_qbnorm/faiss/built_against.h>\n")
execute_process(
  COMMAND ${CXX} -std=c++20 -fsyntax-only -I${WORK}/other -I${prefix}/include
    ${WORK}/other/main.cpp
  RESULT_VARIABLE status ERROR_VARIABLE output)
if(status EQUAL 0 OR NOT output MATCHES "built against FAISS [0-9.]+ but")
  message(FATAL_ERROR "another FAISS was not refused in words:\n${output}")
endif()
