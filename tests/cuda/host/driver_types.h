// CUDA has these declarations here too.
#pragma once

#include "cuda_runtime.h"
