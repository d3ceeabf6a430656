/* own_net.h - dreamo's own matting network at work: a picture in, its mask at full size out. */
#ifndef PREP_OWN_NET_H
#define PREP_OWN_NET_H
#include "format/image_file.h"
#include "nn/backend.h"

typedef struct own_net own_net;
/* folder: config.json and model.safetensors. */
dreamo_status own_net_open(const char *folder, own_net **out, dreamo_error *err);
void          own_net_close(own_net *n); /* NULL is allowed */
/* alpha [height * width], 0 .. 255.  *most: how sure it is of what it is surest of, 0 .. 1; below a half it found nothing.  One call at a time. */
dreamo_status own_net_mask(own_net *n, device *dev, const bitmap *rgb, unsigned char *alpha, float *most, dreamo_error *err);
#endif
