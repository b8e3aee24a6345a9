include(${CMAKE_CURRENT_LIST_DIR}/qbnorm_dependencies.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/faiss_qbnorm-targets.cmake)
