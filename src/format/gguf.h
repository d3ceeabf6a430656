/* gguf.h - reading GGUF, versions 2 and 3, little endian: the files in which quantised FLUX and T5 weights are published.
 *
 * The tensors come out as safetensors' do (same struct, row-major shapes, sorted by name), so that nobody above cares which of the two
 * a file is.  The whole header is checked before anything is used; every broken file is refused with DREAMO_FORMAT and a line that
 * names the file and the field. */
#ifndef FORMAT_GGUF_H
#define FORMAT_GGUF_H
#include "format/safetensors.h"

bool          gguf_is(const unsigned char *head, size_t nbytes);        /* by its first four bytes */
/* The file is mapped already; out->map and out->path are set, and stay the caller's to close.  Metadata: the entries that are strings. */
dreamo_status gguf_read(st_file *out, dreamo_error *err);
#endif
