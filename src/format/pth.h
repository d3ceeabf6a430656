/* pth.h - files that torch.save wrote: tensors only, in the zip container (since 1.6) and the older one (spec 5). */
#ifndef FORMAT_PTH_H
#define FORMAT_PTH_H
#include "format/safetensors.h"

bool pth_is(const unsigned char *data, size_t nbytes);
/* f->path and f->map are there.  Nested dictionaries become names with dots; numbers stay where the file has them, whatever their alignment. */
dreamo_status pth_read(st_file *f, dreamo_error *err);
#endif
