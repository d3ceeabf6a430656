#include "prep/faces.h"
dreamo_status faceapi_finder(const char *folder, int threads, face_net *out, dreamo_error *err)
{
    (void)threads, (void)out;
    return fail(err, DREAMO_FORMAT, "%s: not yet", folder);
}
