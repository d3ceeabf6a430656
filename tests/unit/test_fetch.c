/* test_fetch.c - whole presets: what they are made of, getting them from a server of our own, and checking what lies in a folder. */
#include <sys/wait.h>

#include "base/file.h"
#include "base/mem.h"
#include "dreamo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "http_server.h"
#include "scratch.h"

static server hub;
static char endpoint[80];
static dreamo_error err;

/* ---- the list ---- */

/* What the rows of one call have shown. */
typedef struct seen { int all, state[4], verified, gated, hashed; uint64_t listed; char names[8192], problem[200]; } seen;

static bool note(void *user, const dreamo_fetch_file *f)
{
    seen *s = user;
    s->all++;
    s->state[f->state]++;
    s->verified += f->verified;
    s->gated += f->gated;
    s->hashed += f->sha256 != NULL;
    s->listed += f->listed;
    size_t n = strlen(s->names);
    snprintf(s->names + n, sizeof s->names - n, "%s\n", f->path);
    if (f->problem) snprintf(s->problem, sizeof s->problem, "%s: %s", f->path, f->problem);
    return true;
}

static dreamo_fetch_options options(const char *preset, const char *dir)
{
    dreamo_fetch_options o;
    dreamo_fetch_options_init(&o);
    o.preset = preset;
    o.dir = dir;
    o.endpoint = endpoint;
    return o;
}

static seen list(dreamo_fetch_options o)
{
    seen s = { 0 };
    assert_int_equal(dreamo_fetch_list(&o, note, &s, NULL), DREAMO_OK);
    return s;
}

/* spec 9: "minimum for v1.1", and what 2.7 adds for v1. */
static void presets_hold_what_the_specification_says(void **state)
{
    (void)state;
    seen v11 = list(options(NULL, NULL)), v1 = list(options("v1", NULL));
    assert_non_null(strstr(v11.names, "\ndreamo/v1.1/dreamo_sft_lora.safetensors\ndreamo/v1.1/dreamo_dpo_lora.safetensors\n"));
    assert_null(strstr(v11.names, "quality"));
    assert_non_null(strstr(v1.names, "\ndreamo/dreamo_quality_lora_pos.safetensors\ndreamo/dreamo_quality_lora_neg.safetensors\n"));
    assert_null(strstr(v1.names, "v1.1"));
    for (int i = 0; i < 2; i++) {
        const char *names = i ? v1.names : v11.names;
        assert_non_null(strstr(names, "\ndreamo/dreamo.safetensors\ndreamo/dreamo_cfg_distill.safetensors\n"));
        assert_non_null(strstr(names, "Turbo-Alpha"));
        assert_non_null(strstr(names, "\ntransformer/diffusion_pytorch_model-00003-of-00003.safetensors\n"));
        assert_non_null(strstr(names, "\ntext_encoder_2/model-00002-of-00002.safetensors\n"));
    }
    /* 9.98 + 9.95 + 3.87 + 4.99 + 4.53 GB, 168 + 246 MB, vocabularies, adapters of 478 MB, turbo 694 MB */
    assert_int_equal(v1.listed, 33320000000 + 414000000 + 1059962 + 524619 + 791656 + 2424256 + 4 * 478000000ll + 694000000);
    assert_int_equal(v1.listed - v11.listed, 2 * 478000000);
    dreamo_fetch_options o = options("v1", NULL);
    o.no_turbo = true;
    assert_int_equal(v1.listed - list(o).listed, 694000000);
    o.t5 = "fp8";
    seen fp8 = list(o);
    assert_int_equal(v1.listed - fp8.listed, 694000000 + 4990000000 + 4530000000 - 4890000000);
    assert_non_null(strstr(fp8.names, "\ntext_encoder_2/model.safetensors\n"));
    assert_null(strstr(fp8.names, "text_encoder_2/model.safetensors.index.json"));
    assert_int_equal(v1.state[DREAMO_FETCH_MISSING], v1.all);
    assert_int_equal(v1.gated, 23); /* all of FLUX.1-dev */
}

/* spec 5: the official networks that prepare references, to the byte. */
static void preparing_is_a_preset_of_its_own(void **state)
{
    (void)state;
    seen s = list(options("prep", NULL));
    assert_string_equal(s.names, "ben2.safetensors\ndetection_Resnet50_Final.pth\nparsing_bisenet.pth\n");
    assert_int_equal(s.listed, 380577976 + 109497761 + 53289463);
    assert_int_equal(s.hashed, 3);
    assert_int_equal(s.gated, 0);
}

static void what_is_not_known_is_refused(void **state)
{
    char text[600];
    (void)state;
    dreamo_fetch_options o = options("v2", "dir");
    assert_int_equal(dreamo_fetch_run(&o, NULL), DREAMO_ARG);
    o = options(NULL, "dir");
    o.t5 = "q4";
    assert_int_equal(dreamo_fetch_run(&o, NULL), DREAMO_ARG);
    o = options(NULL, "dir");
    o.endpoint = "http://example.org";
    assert_int_equal(dreamo_fetch_run(&o, NULL), DREAMO_ARG);
    o = options(NULL, "dir");
    o.token = "two words";
    err = (dreamo_error){ 0 };
    assert_int_equal(dreamo_fetch_run(&o, &err), DREAMO_ARG);
    assert_null(strstr(err.message, "two words"));
    memset(text, 'x', sizeof text);
    scratch_write("long", text, sizeof text);
    o.token_file = "long";
    assert_int_equal(dreamo_fetch_run(&o, NULL), DREAMO_ARG);
    o.token_file = "nosuch";
    assert_int_equal(dreamo_fetch_run(&o, NULL), DREAMO_NOT_FOUND);
    o = options(NULL, NULL);
    assert_int_equal(dreamo_fetch_run(&o, NULL), DREAMO_ARG);
    assert_int_equal(dreamo_fetch_check(&o, NULL, NULL, NULL), DREAMO_ARG);
    o = options(NULL, "long");
    assert_int_equal(dreamo_fetch_run(&o, NULL), DREAMO_FORMAT);
    o = options(NULL, "dir");
    o.size = 4;
    assert_int_equal(dreamo_fetch_run(&o, NULL), DREAMO_ARG);
    assert_false(file_exists("dir"));
}

/* ---- getting and checking ---- */

/* FLUX.1-dev's vocabularies as they are, of every other file its own address; gated as the hub is. */
static void publish(server *s, int to, int n)
{
    char path[256] = "", name[400], *data = NULL;
    size_t nbytes = 0;
    bool gated = strstr(s->asked[n], "FLUX.1-dev") != NULL;
    if (gated && strcmp(server_header(s->asked[n], "Authorization"), "Bearer of-the-test") != 0) {
        server_say(to, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
        return;
    }
    sscanf(s->asked[n], "GET /mirror/%*[^/]/%*[^/]/resolve/main/%255s", path);
    snprintf(name, sizeof name, REPO_ROOT "/models/flux-dev/%s", path);
    if (strncmp(path, "tokenizer", 9) != 0 || file_read(name, 1 << 23, &data, &nbytes, NULL)) {
        data = mem_strdup(path);
        nbytes = strlen(path);
    }
    server_say(to, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", nbytes);
    server_send(to, data, nbytes);
    mem_free(data);
}

static void assert_says(const char *path, const char *text)
{
    char *data;
    size_t n;
    assert_int_equal(file_read(path, 1000, &data, &n, NULL), DREAMO_OK);
    assert_string_equal(data, text);
    mem_free(data);
}

static void a_gated_repository_asks_for_a_token(void **state)
{
    (void)state;
    dreamo_fetch_options o = options(NULL, "gated");
    err = (dreamo_error){ 0 };
    hub.count = 0;
    assert_int_equal(dreamo_fetch_run(&o, &err), DREAMO_AUTH);
    assert_int_equal(hub.count, 1);
    assert_non_null(strstr(err.message, "black-forest-labs/FLUX.1-dev: model_index.json"));
    assert_non_null(strstr(err.hint, endpoint));
    assert_non_null(strstr(err.hint, "HF_TOKEN"));
}

/* Files of releases have other addresses, and are told no token; what has not their checksum does not stay. */
static void releases_have_their_own_addresses(void **state)
{
    (void)state;
    dreamo_fetch_options o = options("prep", "prep");
    o.token = "of-the-test";
    assert_int_equal(folder_make("prep", NULL), DREAMO_OK);
    scratch_write("prep/ben2.safetensors", "by hand", 7);
    err = (dreamo_error){ 0 };
    hub.count = 0;
    assert_int_equal(dreamo_fetch_run(&o, &err), DREAMO_FORMAT);
    assert_int_equal(hub.count, 1);
    assert_non_null(strstr(hub.asked[0], "GET /mirror/xinntao/facexlib/releases/download/v0.1.0/detection_Resnet50_Final.pth HTTP/1.1"));
    assert_string_equal(server_header(hub.asked[0], "Authorization"), "");
    assert_false(file_exists("prep/detection_Resnet50_Final.pth"));
}

static void a_preset_arrives_and_is_checked(void **state)
{
    seen s = { 0 };
    (void)state;
    dreamo_fetch_options o = options("v1", "model");
    scratch_write("token", "of-the-test\n", 12);
    o.token_file = "token";
    hub.count = 0;
    assert_int_equal(dreamo_fetch_run(&o, &err), DREAMO_OK);
    assert_int_equal(dreamo_fetch_check(&o, note, &s, NULL), DREAMO_OK);
    assert_int_equal(hub.count, s.all);
    assert_int_equal(s.state[DREAMO_FETCH_THERE], s.all);
    assert_int_equal(s.hashed, s.all); /* the record holds a checksum of each */
    assert_says("model/vae/config.json", "vae/config.json");
    assert_says("model/dreamo/dreamo_quality_lora_neg.safetensors", "dreamo_quality_lora_neg.safetensors");
    assert_says("model/dreamo/FLUX.1-Turbo-Alpha/diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.safetensors");
    assert_non_null(strstr(hub.asked[0], "GET /mirror/black-forest-labs/FLUX.1-dev/resolve/main/model_index.json HTTP/1.1"));
    assert_int_equal(dreamo_fetch_run(&o, NULL), DREAMO_OK); /* nothing to do: nothing asked */
    assert_int_equal(hub.count, s.all);
    o.verify = true;
    s = (seen){ 0 };
    assert_int_equal(dreamo_fetch_check(&o, note, &s, NULL), DREAMO_OK);
    assert_int_equal(s.verified, s.all);
}

/* After a_preset_arrives_and_is_checked. */
static void damage_is_found_and_mended(void **state)
{
    (void)state;
    dreamo_fetch_options o = options("v1", "model");
    o.token = "of-the-test";
    seen s = { 0 };
    scratch_write("model/vae/config.json", "VAE/config.json", 15); /* same size */
    scratch_write("model/dreamo/dreamo.safetensors", "short", 5);
    assert_int_equal(unlink("model/model_index.json"), 0);
    scratch_write("model/model_index.json.part", "mod", 3);
    assert_int_equal(unlink("model/tokenizer/vocab.json"), 0);
    err = (dreamo_error){ 0 };
    assert_int_equal(dreamo_fetch_check(&o, note, &s, &err), DREAMO_DIFFERS);
    assert_non_null(strstr(err.message, "1 are missing, 1 begun, 1 not as they should be"));
    assert_string_equal(s.problem, "dreamo/dreamo.safetensors: has another size than when it was downloaded");
    o.verify = true;
    s = (seen){ 0 };
    assert_int_equal(dreamo_fetch_check(&o, note, &s, NULL), DREAMO_DIFFERS);
    assert_int_equal(s.state[DREAMO_FETCH_BAD], 2); /* the checksum tells */
    hub.count = 0;
    assert_int_equal(dreamo_fetch_run(&o, NULL), DREAMO_OK);
    assert_int_equal(hub.count, 4);
    assert_int_equal(dreamo_fetch_check(&o, NULL, NULL, NULL), DREAMO_OK);
    assert_says("model/model_index.json", "model_index.json");
}

/* The fp16 and the fp8 copy have the same name in the folder. */
static void another_choice_replaces_what_it_must(void **state)
{
    (void)state;
    dreamo_fetch_options o = options("v1", "model");
    o.token = "of-the-test";
    o.t5 = "fp16";
    hub.count = 0;
    assert_int_equal(dreamo_fetch_run(&o, NULL), DREAMO_OK);
    assert_int_equal(hub.count, 1);
    assert_says("model/text_encoder_2/model.safetensors", "t5xxl_fp16.safetensors");
    o.t5 = "fp8";
    seen s = { 0 };
    assert_int_equal(dreamo_fetch_check(&o, note, &s, NULL), DREAMO_DIFFERS);
    assert_string_equal(s.problem, "text_encoder_2/model.safetensors: is another file, from another choice");
    assert_int_equal(dreamo_fetch_run(&o, NULL), DREAMO_OK);
    assert_says("model/text_encoder_2/model.safetensors", "t5xxl_fp8_e4m3fn.safetensors");
}

/* Files that were put there by hand are taken as they are, except where the table knows better. */
static void files_put_there_by_hand_count(void **state)
{
    seen s = { 0 };
    (void)state;
    dreamo_fetch_options o = options("v1", "model");
    assert_int_equal(unlink("model/dreamo/fetched.json"), 0);
    scratch_write("model/tokenizer/merges.txt", "none", 4);
    assert_int_equal(dreamo_fetch_check(&o, note, &s, NULL), DREAMO_OK);
    assert_int_equal(s.hashed, 4);
    o.verify = true;
    s = (seen){ 0 };
    assert_int_equal(dreamo_fetch_check(&o, note, &s, NULL), DREAMO_DIFFERS);
    assert_string_equal(s.problem, "tokenizer/merges.txt: has another checksum");
    assert_int_equal(s.verified, 4);
}

static void a_broken_record_is_refused(void **state)
{
    static const char *const records[] = {
        "{", "[]", "{\"vae/config.json\": 5}", "{\"vae/config.json\": {\"repository\": \"a\", \"file\": \"b\", \"bytes\": -1, \"sha256\": \"\"}}",
        "{\"vae/config.json\": {\"repository\": \"a\", \"file\": \"b\", \"bytes\": 1, \"sha256\": \"12\"}}",
        "{\"vae/config.json\": {\"repository\": \"a\", \"file\": \"b\", \"bytes\": 1}}",
    };
    (void)state;
    dreamo_fetch_options o = options("v1", "model");
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        scratch_write("model/dreamo/fetched.json", records[i], strlen(records[i]));
        err = (dreamo_error){ 0 };
        assert_int_equal(dreamo_fetch_check(&o, NULL, NULL, &err), DREAMO_FORMAT);
        assert_non_null(strstr(err.message, "model/dreamo/fetched.json"));
    }
    assert_int_equal(unlink("model/dreamo/fetched.json"), 0);
}

static void one_run_at_a_time(void **state)
{
    int fd = -1;
    (void)state;
    dreamo_fetch_options o = options("v1", "model");
    o.token = "of-the-test";
    assert_int_equal(file_lock("model/dreamo/fetch.lock", &fd, NULL), DREAMO_OK);
    assert_int_equal(dreamo_fetch_run(&o, NULL), DREAMO_BUSY);
    file_unlock(fd);
    assert_int_equal(dreamo_fetch_run(&o, NULL), DREAMO_OK);
}

static int open_hub(void **state)
{
    if (scratch_enter(state)) return -1;
    server_start(&hub, publish);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d/mirror/", hub.port);
    return 0;
}

static int close_hub(void **state)
{
    server_stop(&hub);
    return scratch_leave(state);
}

static void without_libcurl_it_says_so(void **state)
{
    (void)state;
    dreamo_fetch_options o = options(NULL, "model");
    err = (dreamo_error){ 0 };
    assert_int_equal(dreamo_fetch_run(&o, &err), DREAMO_NET);
    assert_non_null(strstr(err.message, "built without libcurl"));
    assert_false(file_exists("model"));
}

int main(void)
{
    const struct CMUnitTest lists[] = { cmocka_unit_test(presets_hold_what_the_specification_says), cmocka_unit_test(preparing_is_a_preset_of_its_own), cmocka_unit_test(without_libcurl_it_says_so) };
    const struct CMUnitTest all[] = {
        cmocka_unit_test(presets_hold_what_the_specification_says), cmocka_unit_test(preparing_is_a_preset_of_its_own), cmocka_unit_test(what_is_not_known_is_refused),
        cmocka_unit_test(a_gated_repository_asks_for_a_token), cmocka_unit_test(releases_have_their_own_addresses), cmocka_unit_test(a_preset_arrives_and_is_checked), cmocka_unit_test(damage_is_found_and_mended),
        cmocka_unit_test(another_choice_replaces_what_it_must), cmocka_unit_test(files_put_there_by_hand_count), cmocka_unit_test(a_broken_record_is_refused),
        cmocka_unit_test(one_run_at_a_time),
    };
    if (!dreamo_fetch_can_download()) return cmocka_run_group_tests(lists, open_hub, close_hub);
    return cmocka_run_group_tests(all, open_hub, close_hub);
}
