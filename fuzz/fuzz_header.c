/* fuzz_header.c - values of HTTP headers, and addresses: a word from a server, and one to compare it with. */
#include "fetch/address.h"
#include "fetch/header.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_parts p = { data, data + nbytes, false };
    const uint8_t *part[2];
    size_t n[2];
    char *text[2], sha256[65] = "", etag[HTTP_ETAG] = "", host[64];
    int64_t number = -7, first = -7, last = -7, total = -7;
    dreamo_error err = { 0 };
    for (int i = 0; i < 2; i++) {
        fuzz_next(&p, &part[i], &n[i]);
        text[i] = malloc(n[i] + 1);
        memcpy(text[i], part[i], n[i]);
        text[i][n[i]] = '\0';
    }
    fuzz_must(!header_number(text[0], &number) || number >= 0, "a number is not negative");
    if (header_content_range(text[0], &first, &last, &total))
        fuzz_must(first >= -1 && last >= first && total >= -1 && (total < 0 || last < total), "a range lies in its file");
    header_sha256(text[0], sha256);
    fuzz_must(!*sha256 || strspn(sha256, "0123456789abcdef") == 64, "a checksum is one");
    header_etag(text[0], etag);
    fuzz_must(strlen(etag) < HTTP_ETAG, "an ETag fits");
    fuzz_told(address_check_endpoint(text[0], &err), &err);
    address_host(text[0], host, sizeof host);
    if (address_same_origin(text[0], text[1])) fuzz_must(address_same_origin(text[1], text[0]), "the same both ways");
    address_may_follow(text[0], text[1]);
    address_token_is_plain(text[0]);
    free(text[0]);
    free(text[1]);
    return 0;
}
