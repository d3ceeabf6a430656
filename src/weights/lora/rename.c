/* rename.c - dreamo_lora_rename: a LoRA file under another program's names. */
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/report.h"
#include "weights/config.h"
#include "weights/default_model.h"
#include "weights/lora/write.h"

static dreamo_status check(const char *in, const char *naming, const char *out, bool clobber, dreamo_error *err)
{
    static const char end[] = ".safetensors";
    size_t n = out ? strlen(out) : 0, k = sizeof end - 1;
    if (!in || !naming) return fail(err, DREAMO_ARG, "a LoRA file and a naming are needed");
    if (lora_naming_from(naming) < 0) return fail(err, DREAMO_ARG, "\"%.40s\" is none of dreamo, diffusers, kohya, embedding", naming);
    if (n <= k || strcmp(out + n - k, end) != 0) return fail(err, DREAMO_ARG, "%s: a LoRA's name must end in %s", out ? out : "", end);
    if (clobber || !file_exists(out)) return DREAMO_OK;
    fail(err, DREAMO_IO, "%s: exists already", out);
    return hint(err, "--force replaces it");
}

dreamo_status dreamo_lora_rename(const char *in, const char *model, const char *naming, const char *out, bool clobber,
                                 dreamo_progress progress, void *user, dreamo_error *err)
{
    const reporter to_caller = { progress, user };
    dit_config c;
    lora_file f = { 0 };
    dit *m = NULL;
    dreamo_status s = check(in, naming, out, clobber, err);
    if (s) return s;
    char *folder = model_folder(model ? model : "flux-dev"), *config = folder ? mem_printf("%s/transformer/config.json", folder) : NULL;
    s = config ? config_dit(config, &c, err) : fail(err, DREAMO_MEMORY, "%s: no memory for a path", in);
    if (!s && !(m = dit_new(&c))) s = fail(err, DREAMO_MEMORY, "%s: no memory for the transformer's layers", in);
    if (!s) s = lora_open(in, 1, m, c.text_dim, &f, err);
    if (!s && f.nchanges + f.nvectors)
        s = fail(err, DREAMO_MISMATCH, "%s: %d of its layers are no low-rank products (LoKr, LoHa, OFT, DoRA, differences): no naming of LoRAs can hold them",
                 in, f.nchanges + f.nvectors);
    if (!s && f.warning) s = report_line(&to_caller, DREAMO_EVENT_WARNING, err, "%s", f.warning);
    if (!s) s = lora_write(out, &f, m, (lora_naming)lora_naming_from(naming), err);
    lora_close(&f);
    dit_free(m);
    mem_free(config);
    mem_free(folder);
    return s;
}
