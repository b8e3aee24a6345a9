# Finds what faiss_qbnorm stands on. Also installed beside the package config,
# so that a consumer finds the same.

include(CMakeFindDependencyMacro)

# FAISS's own config names OpenMP, BLAS and LAPACK but finds none of them.
find_dependency(OpenMP COMPONENTS CXX)
if(NOT BLA_VENDOR)
  set(BLA_VENDOR OpenBLAS)
endif()
find_dependency(BLAS)
find_dependency(LAPACK)
find_dependency(faiss)
