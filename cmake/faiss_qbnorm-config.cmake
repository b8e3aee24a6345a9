include(CMakeFindDependencyMacro)

# FAISS's own config names OpenMP, BLAS and LAPACK but finds none of them.
find_dependency(OpenMP COMPONENTS CXX)
if(NOT BLA_VENDOR)
  set(BLA_VENDOR OpenBLAS)
endif()
find_dependency(BLAS)
find_dependency(LAPACK)
find_dependency(faiss)

include(${CMAKE_CURRENT_LIST_DIR}/faiss_qbnorm-targets.cmake)
