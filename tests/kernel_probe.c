/* kernel_probe.c - the image kernels behind a pipe, for tests/oracle/kernels.py: "KERNEL WIDTH HEIGHT OUT_WIDTH OUT_HEIGHT [numbers]", a newline, the picture;
 * the answer is the result's bytes.  "lmeds" and ten numbers: six doubles. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/resize.h"
#include "image/warp.h"

static int similarity(const char *numbers)
{
    static const double target[5][2] = { { 192.98138, 239.94708 }, { 318.90277, 240.1936 }, { 256.63416, 314.01935 }, { 201.26117, 371.41043 }, { 313.08905, 371.15118 } };
    double points[5][2];
    char *at = (char *)(uintptr_t)numbers;
    affine a;
    for (int i = 0; i < 10; i++) points[i / 2][i % 2] = strtod(at, &at);
    if (similarity_lmeds((const double (*)[2])points, target, &a, NULL, NULL)) return 1;
    fwrite(a.m, sizeof a.m, 1, stdout);
    return 0;
}

int main(void)
{
    static const unsigned char border[3] = { 132, 133, 135 };
    char line[1000], kernel[20];
    while (fgets(line, sizeof line, stdin)) {
        int w, h, ow, oh, used = 0;
        bitmap in, out;
        affine a;
        if (strncmp(line, "lmeds ", 6) == 0) {
            if (similarity(line + 6)) return 1;
            fflush(stdout);
            continue;
        }
        if (sscanf(line, "%19s %d %d %d %d%n", kernel, &w, &h, &ow, &oh, &used) != 5) return 2;
        if (bitmap_new(&in, w, h, strcmp(kernel, "white") ? 3 : 4, NULL)) return 3;
        size_t nbytes = (size_t)w * (size_t)h * (size_t)in.channels;
        if (fread(in.data, 1, nbytes, stdin) != nbytes) return 4;
        char *at = line + used;
        for (int i = 0; i < 6; i++) a.m[i / 3][i % 3] = strtod(at, &at);
        dreamo_status s = strcmp(kernel, "area") == 0 ? resize_area(&in, ow, oh, &out, NULL) : strcmp(kernel, "lanczos") == 0 ? resize_lanczos(&in, ow, oh, &out, NULL)
                        : strcmp(kernel, "warp") == 0 ? warp_affine(&in, &a, ow, oh, border, &out, NULL) : composite_white(&in, &out, NULL);
        if (s) return 5;
        fwrite(out.data, 1, (size_t)out.width * (size_t)out.height * 3, stdout);
        fflush(stdout);
        bitmap_free(&in);
        bitmap_free(&out);
    }
    return 0;
}
