/* sniff.c - magic numbers, and the texts that servers send in place of files. */
#include "format/sniff.h"
#include <string.h>

enum { BEGINNING = 4096, TAIL = 4096, SHORT_TEXT = 300 };

#define PICTURE "give it as a reference: -r ip=FILE"
#define UNPACK "unpack it first"
#define CONVERT "take the .safetensors file, or convert it where it came from"
#define OTHER_PICTURE "convert it to PNG first"

static const struct { size_t at, n; const char *magic; sniffed is; } magics[] = {
    { 0, 12, "version http", { "a Git LFS pointer, not the file that it stands for", "get the file with: git lfs pull" } },
    { 0, 4, "GGUF", { "a GGUF model", "give it as a transformer or T5 encoder" } },
    { 0, 8, "\x89PNG\r\n\x1A\n", { "a PNG picture", PICTURE } }, { 0, 3, "\xFF\xD8\xFF", { "a JPEG picture", PICTURE } },
    { 8, 4, "WEBP", { "a WebP picture", PICTURE } },
    { 0, 4, "GIF8", { "a GIF", OTHER_PICTURE } }, { 0, 4, "II*\0", { "a TIFF", OTHER_PICTURE } }, { 0, 4, "MM\0*", { "a TIFF", OTHER_PICTURE } },
    { 0, 4, "8BPS", { "a Photoshop file", OTHER_PICTURE } }, { 0, 4, "qoif", { "a QOI picture", OTHER_PICTURE } }, { 0, 4, "\0\0\1\0", { "an icon file", OTHER_PICTURE } },
    { 0, 2, "\xFF\x0A", { "a JPEG XL picture", OTHER_PICTURE } }, { 4, 4, "JXL ", { "a JPEG XL picture", OTHER_PICTURE } },
    { 4, 4, "jP  ", { "a JPEG 2000 picture", OTHER_PICTURE } }, { 4, 8, "ftypavif", { "an AVIF picture", OTHER_PICTURE } },
    { 4, 7, "ftyphei", { "a HEIC picture", OTHER_PICTURE } }, { 4, 7, "ftyphev", { "a HEIC picture", OTHER_PICTURE } },
    { 4, 8, "ftypmif1", { "a HEIF picture", OTHER_PICTURE } }, { 4, 8, "ftypmsf1", { "a HEIF picture", OTHER_PICTURE } },
    { 4, 4, "ftyp", { "a video or another file of the MP4 family", "take one picture of it, as PNG" } },
    { 0, 4, "%PDF", { "a PDF", OTHER_PICTURE } },
    { 0, 4, "7z\xBC\xAF", { "a 7z archive", UNPACK } }, { 0, 6, "\xFD" "7zXZ\0", { "an xz archive", UNPACK } }, { 0, 2, "\x1F\x8B", { "a gzip archive", UNPACK } },
    { 0, 4, "\x28\xB5\x2F\xFD", { "a zstd archive", UNPACK } }, { 0, 4, "Rar!", { "a RAR archive", UNPACK } }, { 257, 5, "ustar", { "a tar archive", UNPACK } },
    { 0, 4, "\x89HDF", { "an HDF5 file", CONVERT } }, { 0, 6, "\x93NUMPY", { "a NumPy array", CONVERT } }, { 0, 4, "\x7F" "ELF", { "a program", "name another file" } },
    { 0, 4, "ggml", { "a GGML model of before 2023", "take the GGUF file" } }, { 0, 4, "tjgg", { "a GGML model of before 2023", "take the GGUF file" } },
    { 0, 16, "SQLite format 3\0", { "an SQLite database", "name another file" } },
    { 0, 2, "BM", { "a BMP", OTHER_PICTURE } },
};

/* What hubs and their front ends answer, saved under a file's name. */
static const char *const answers[] = { "Entry not found", "Repository not found", "Repo not found", "Revision Not Found", "Invalid username or password", "Access to model",
                                       "Access denied", "Cannot access gated repo", "Not Found", "not found", "Unauthorized", "Forbidden", "Too Many Requests",
                                       "Internal Server Error", "Bad Gateway", "Service Unavailable", "\"error\"", "AccessDenied", "NoSuchKey" };

static const void *find(const unsigned char *data, size_t n, const char *word) { return memmem(data, n, word, strlen(word)); }

static bool begins(const unsigned char *data, size_t n, const char *word) /* letters of either case */
{
    size_t k = strlen(word);
    if (n < k) return false;
    for (size_t i = 0; i < k; i++)
        if ((data[i] | 32) != (word[i] | 32)) return false;
    return true;
}

/* Letters and white space, in UTF-8 as far as it can be told without its tables; a cut or a zero byte may end it. */
static bool is_text(const unsigned char *s, size_t n)
{
    while (n && s[n - 1] == 0) n--;
    for (size_t i = 0, more; i < n; i += 1 + more) {
        more = s[i] < 0x80 ? 0 : s[i] < 0xC2 ? 9 : s[i] < 0xE0 ? 1 : s[i] < 0xF0 ? 2 : s[i] < 0xF5 ? 3 : 9;
        if (more == 9 || s[i] == 0x7F || (s[i] < ' ' && !memchr("\t\n\f\r", s[i], 4))) return false;
        for (size_t k = 1; k <= more && i + k < n; k++)
            if ((s[i + k] & 0xC0) != 0x80) return false;
    }
    return n > 0;
}

static bool zeros(const unsigned char *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (data[i]) return false;
    return true;
}

bool sniff_ends_in_zeros(const unsigned char *data, size_t nbytes) { return nbytes > TAIL && zeros(data + nbytes - TAIL, TAIL); }

static sniffed archive(const unsigned char *data, size_t nbytes)
{
    size_t n = nbytes < BEGINNING ? nbytes : BEGINNING;
    if (find(data, n, "data.pkl") || find(data, n, "/version")) return (sniffed){ "a PyTorch file, which holds Python code", CONVERT };
    return (sniffed){ "a zip archive; if it is PyTorch's, it holds Python code", UNPACK ", or " CONVERT };
}

static sniffed text(const unsigned char *data, size_t nbytes)
{
    size_t n = nbytes < BEGINNING ? nbytes : BEGINNING, at = 0;
    if (n >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0) at = 3;
    while (at < n && memchr(" \t\r\n\f", data[at], 5)) at++;
    const unsigned char *s = data + at;
    n -= at;
    if (find(s, n, "<svg")) return (sniffed){ "an SVG drawing", OTHER_PICTURE };
    if (begins(s, n, "<!doctype") || begins(s, n, "<html") || begins(s, n, "<head") || find(s, n, "<html"))
        return (sniffed){ "a web page in place of the file", "log in at the hub, accept the licence if there is one, and fetch it again" };
    if (nbytes <= SHORT_TEXT || begins(s, n, "<?xml") || begins(s, n, "{\"error"))
        for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
            if (find(s, n, answers[i])) return (sniffed){ "a hub's answer in place of the file (such as \"Entry not found\")", "check its name and your access, and fetch it again" };
    if (n && *s == '<') return (sniffed){ "a web page or XML", "fetch the file again" };
    if (n && (*s == '{' || *s == '[')) return (sniffed){ "JSON", "name the weights, or the folder that they lie in" };
    return (sniffed){ "text", "name another file, or fetch it again" };
}

sniffed sniff(const unsigned char *data, size_t nbytes)
{
    if (nbytes == 0) return (sniffed){ "empty", "fetch it again" };
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
        if (nbytes >= magics[i].at + magics[i].n && memcmp(data + magics[i].at, magics[i].magic, magics[i].n) == 0) return magics[i].is;
    if (nbytes >= 4 && memcmp(data, "PK\3\4", 4) == 0) return archive(data, nbytes);
    if (nbytes >= 2 && data[0] == 0x80 && data[1] >= 2 && data[1] <= 5) return (sniffed){ "a Python pickle, which holds code", CONVERT };
    size_t n = nbytes < BEGINNING ? nbytes : BEGINNING;
    if (zeros(data, n)) return (sniffed){ "zeros only: a download that never began", "fetch it again" };
    if (is_text(data, n)) return text(data, nbytes);
    return (sniffed){ NULL, NULL };
}
