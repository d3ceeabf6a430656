/* vae.h - AutoencoderKL (spec 4). Pictures are channels-last [n*h*w, channels]. */
#ifndef MODEL_VAE_H
#define MODEL_VAE_H
#include "nn/nn.h"
#include "nn/param.h"

#define VAE_MAX_LEVELS 6
typedef struct vae_config {
    int image_channels, latent_channels;
    int levels, channels[VAE_MAX_LEVELS]; /* block_out_channels; factor = 2^(levels-1) */
    int layers;                           /* resnets an encoder level; the decoder has one more */
    int groups;                           /* GroupNorm */
    bool mid_attention;
    float scaling, shift;                 /* latents: (z - shift) * scaling */
} vae_config;

/* shortcut.out 0: identity */
typedef struct vae_resnet { vec norm1_gain, norm1_bias, norm2_gain, norm2_bias; weight conv1, conv2, shortcut; } vae_resnet;
typedef struct vae_attention { vec norm_gain, norm_bias; weight q, k, v, out; } vae_attention;
typedef struct vae_level { int nresnets; vae_resnet *resnets; weight sample; /* down or up convolution; out 0: none */ } vae_level;
typedef struct vae_coder {
    weight conv_in, conv_out;
    vae_level level[VAE_MAX_LEVELS];      /* in the order in which they run */
    vae_resnet mid[2];
    vae_attention attention;
    vec norm_gain, norm_bias;
} vae_coder;
typedef struct vae { vae_config config; vae_coder encoder, decoder; } vae;

vae *vae_new(const vae_config *c);
void vae_free(vae *m);
void vae_visit(vae *m, param_visitor visit, void *user);
int  vae_factor(const vae_config *c);

/* x [n*h*w, 3] in [-1, 1] -> [n*(h/f)*(w/f), 2*latent]: mean, log variance */
tensor vae_encode(nn *cx, const vae *m, tensor x, grid g);
/* z unscaled [n*h*w, latent], g its grid -> [n*(f h)*(f w), 3] */
tensor vae_decode(nn *cx, const vae *m, tensor z, grid g);
#endif
