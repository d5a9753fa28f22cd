#include "CKernelShim.h"
