#include "train/stage.h"
const stage_kind stage_base = {0}, stage_adapter = {0};
