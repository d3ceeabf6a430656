/* file.h - the one place that opens files. */
#ifndef BASE_FILE_H
#define BASE_FILE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

/* A regular file, mapped read-only (private).  Directories, FIFOs, devices are refused without hanging. */
typedef struct filemap { const unsigned char *data; size_t nbytes; int fd; } filemap;
dreamo_status file_map(const char *path, filemap *out, dreamo_error *err);
void          file_unmap(filemap *m); /* a zeroed map is allowed */
/* The pages of the map leave this process; reading brings them back from the file. */
void          file_map_forget(const filemap *m);
/* DREAMO_IO "changed while in use" when the file under the map is not the size it was. */
dreamo_status file_map_check(const filemap *m, const char *path, dreamo_error *err);

/* The whole file with a NUL added after it; refused over `max` bytes.  Free with mem_free. */
dreamo_status file_read(const char *path, size_t max, char **data, size_t *nbytes, dreamo_error *err);

/* Write a file so that it stays written (robustness C6): temporary in the same folder, write, fsync,
 * rename, fsync the folder.  Until file_commit the final name is untouched; file_abort removes the temporary. */
typedef struct filewriter { int fd; bool clobber; char *path, *temp; uint64_t nbytes; dreamo_status status; } filewriter;
dreamo_status file_create(filewriter *w, const char *path, bool clobber, dreamo_error *err);
dreamo_status file_write(filewriter *w, const void *data, size_t nbytes, dreamo_error *err);
dreamo_status file_commit(filewriter *w, dreamo_error *err); /* on failure it has aborted */
void          file_abort(filewriter *w);                     /* harmless after commit */
dreamo_status file_replace(const char *path, const void *data, size_t nbytes, dreamo_error *err); /* all in one */

/* A writer for what takes more than one run: its temporary is PATH.part and outlives it.  What lies there already is kept (nbytes
 * tells how much) and added to.  file_restart empties it; file_pause closes it for a later run, and removes it when it is empty;
 * file_commit and file_abort as above. */
dreamo_status file_continue(filewriter *w, const char *path, dreamo_error *err);
dreamo_status file_restart(filewriter *w, dreamo_error *err);
void          file_pause(filewriter *w);

/* Add to the end of a file that grows line by line (a log); made when missing. */
dreamo_status file_append(const char *path, const void *data, size_t nbytes, dreamo_error *err);
/* Hold a lock file for as long as the process lives or until file_unlock; DREAMO_BUSY when another process holds it. */
dreamo_status file_lock(const char *path, int *fd, dreamo_error *err);
void          file_unlock(int fd);

/* Bytes that may still be written in the folder of PATH, which need not exist itself. */
dreamo_status file_space(const char *path, uint64_t *nbytes, dreamo_error *err);

/* A name is on the disk only when its folder is. */
void file_sync_name(const char *path);

bool  file_exists(const char *path);
bool  file_same(const char *one, const char *other); /* two names of one file that is there */
bool  folder_exists(const char *path);
dreamo_status file_nbytes(const char *path, uint64_t *nbytes, dreamo_error *err); /* of a regular file; DREAMO_NOT_FOUND, DREAMO_FORMAT */
dreamo_status file_remove(const char *path, dreamo_error *err);
dreamo_status folder_make(const char *path, dreamo_error *err);   /* existing is fine; parents are not made */
dreamo_status folder_remove(const char *path, dreamo_error *err); /* recursively; renamed to .trash first */
/* `from` gets the name `to`, on the disk, too; what was called so before goes away, and until then it is whole under that name. */
dreamo_status folder_replace(const char *from, const char *to, dreamo_error *err);
/* Remove the temporaries (file_create, NAME.tmp, NAME.trash) that a killed process left in a folder, of names that are `ours`. */
dreamo_status folder_sweep(const char *folder, bool (*ours)(void *user, const char *name), void *user, dreamo_error *err);
char *path_join(const char *folder, const char *name);            /* mem_free; NULL: no memory */
/* Names in a folder, sorted by bytes, without . and ..; free with folder_list_free. */
dreamo_status folder_list(const char *path, char ***names, int *count, dreamo_error *err);
void          folder_list_free(char **names, int count);
double seconds_now(void); /* monotonic clock */
size_t memory_now(void);  /* bytes that this process holds, mapped files included; 0: the system does not tell */
uint64_t memory_free(void); /* bytes that programs may still take without swapping; 0: the system does not tell */
#endif
