/* hello.c - a picture of the thing in a reference picture, in a new place.
 *
 *   cc hello.c -o hello $(pkg-config --cflags --libs dreamo)
 *   ./hello reference.png out.png
 */
#include <dreamo.h>
#include <stdio.h>

static bool progress(void *user, const dreamo_event *event)
{
    (void)user;
    if (event->kind == DREAMO_EVENT_STEP) fprintf(stderr, "step %d of %d\n", (int)event->done, (int)event->total);
    return true; /* false would stop */
}

int main(int argc, char **argv)
{
    dreamo_error err = { 0 };
    dreamo_model *model = NULL;
    dreamo_image picture = { 0 };
    dreamo_model_options options;
    dreamo_request request;
    dreamo_reference reference = { .task = DREAMO_IP, .path = argc > 1 ? argv[1] : "reference.png" };

    dreamo_model_options_init(&options);       /* the shipped model, all cores */
    dreamo_request_init(&request);
    request.prompt = "a toy on a beach by the sea";
    request.refs = &reference;
    request.nrefs = 1;
    request.seed = 7;
    request.progress = progress;

    if (dreamo_open(&options, &model, &err) == DREAMO_OK &&
        dreamo_generate(model, &request, &picture, &err) == DREAMO_OK &&
        dreamo_image_write(&picture, argc > 2 ? argv[2] : "out.png", "png", true, &err) == DREAMO_OK)
        printf("%dx%d written\n", picture.width, picture.height);
    else
        fprintf(stderr, "hello: %s\n%s\n", err.message, err.hint);
    dreamo_image_free(&picture);
    dreamo_close(model);
    return dreamo_exit_code(err.status);
}
