#!/usr/bin/env python3
"""prep_official.py NAMES OUT - what facexlib (its RetinaFace, BiSeNet and FaceRestoreHelper, as published) and OpenCV make of tests/data/prep's
picture, from a photograph to the finished reference, with weights from names in the two legacy files that the library itself reads.

NAMES: the folder with retinaface.names and bisenet.names, a name and a shape a line, beside the golden cases.  The weights are those of
tests/unit/test_prep_official.c: of names, but a score tells only the second anchor of the middle level apart and its five points lie as a face's
do, for without that no face of random weights is one; and two classes have exchanged names.  Made with facexlib 0.3.0, torch 2.6.0, OpenCV 4.11.
Writes OUT/official.safetensors: the face's reference and the garment's."""
import os, sys
import cv2, numpy as np, torch
from safetensors.numpy import save_file
from torchvision.transforms.functional import normalize
from facexlib.parsing import init_parsing_model
from facexlib.utils import face_restoration_helper
from named import uniform

here = os.path.dirname(os.path.abspath(__file__))
TEMPLATE = np.array([[192.98138, 239.94708], [318.90277, 240.1936], [256.63416, 314.01935], [201.26117, 371.41043], [313.08905, 371.15118]])
GONE, CLOTH = [0, 16, 18, 7, 8, 9, 14, 15], 16


def made(name, shape):
    n = int(np.prod(shape)); u = uniform(name, n)
    if len(shape) > 1: v = u * np.sqrt(3 * shape[0] / n) * (0.005 if 'Head.' in name else 1)
    elif name.endswith('bias') or name.endswith('running_mean'): v = 0.1 * u
    elif name.endswith('running_var'): v = 1 + 0.5 * u
    else: v = 1 + 0.2 * u
    v = v.astype(np.float32).reshape(shape)
    if name.startswith('ClassHead') and name.endswith('weight'): v *= np.float32(4)
    if name.startswith('ClassHead') and name.endswith('bias'): v[:] = (0, -9000, 0, 0 if '.1.' in name else -9000)
    if name.startswith('LandmarkHead') and name.endswith('bias'): v[:] = np.tile(((TEMPLATE - 256) / 26).reshape(10), 2).astype(np.float32)
    if name == 'conv_out.conv_out.weight': v[[12, CLOTH]] = v[[CLOTH, 12]]  # random labels have a favourite few
    return v



def write(names, path, prefix=''):
    """In the container that torch had before 1.6, with the counters that training leaves."""
    state = {}
    for line in open(names):
        name, shape = line.split()[:2]
        state[prefix + name] = torch.tensor(7) if shape == 'scalar' else torch.from_numpy(made(name, [int(k) for k in shape.split('x')]))
    torch.save(state, path, _use_new_zipfile_serialization=False)


def garment(helper, photo):
    """The whole picture behind what the parser calls cloth, a similarity further away, and its border."""
    to_crop, _ = cv2.estimateAffinePartial2D(helper.all_landmarks_5[0], TEMPLATE, method=cv2.LMEDS)
    further = np.array([[0.4, 0, 153.6], [0, 0.4, 40], [0, 0, 1]])
    m = (further @ np.vstack([to_crop, [0, 0, 1]]))[:2]
    square = cv2.warpAffine(photo, m, (512, 512), borderMode=cv2.BORDER_CONSTANT, borderValue=(135, 133, 132))
    labels = parsed(helper, square)
    h, w = photo.shape[:2]
    y, x = np.mgrid[:h, :w].astype(np.float64)
    u, v = np.rint(m[0, 0] * x + m[0, 1] * y + m[0, 2]).astype(int), np.rint(m[1, 0] * x + m[1, 1] * y + m[1, 2]).astype(int)
    inside = (u >= 0) & (v >= 0) & (u < 512) & (v < 512)
    mask = inside & (labels[v.clip(0, 511), u.clip(0, 511)] == CLOTH)
    print('garment: labels', np.unique(labels, return_counts=True), 'pixels', mask.sum(), 'of', h * w)
    out = np.where(mask[..., None], photo, 255).astype(np.uint8)
    ys, xs = np.nonzero(mask)
    y0, y1, x0, x1 = ys.min(), ys.max(), xs.min(), xs.max()
    rim = (max(x1 - x0, y1 - y0) + 1) // 20
    return np.pad(out[y0:y1 + 1, x0:x1 + 1], ((rim, rim), (rim, rim), (0, 0)), constant_values=255)[..., ::-1]


def parsed(helper, bgr):
    x = torch.from_numpy(np.ascontiguousarray(bgr[..., ::-1].transpose(2, 0, 1)).astype(np.float32)).unsqueeze(0) / 255.0
    return helper.face_parse(normalize(x, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))[0].argmax(dim=1)[0].numpy()


names, out = sys.argv[1:]
os.makedirs(out, exist_ok=True)
write(names + '/retinaface.names', out + '/detection_Resnet50_Final.pth', 'module.')
write(names + '/bisenet.names', out + '/parsing_bisenet.pth')
with torch.no_grad():
    face_restoration_helper.init_parsing_model = lambda **_: init_parsing_model('bisenet', device='cpu', model_rootpath=out)  # what DreamO's fork changes
    helper = face_restoration_helper.FaceRestoreHelper(upscale_factor=1, face_size=512, crop_ratio=(1, 1), det_model='retinaface_resnet50', save_ext='png', device='cpu', model_rootpath=out)
    photo = cv2.imread(here + '/../data/prep/retinaface-in.png')
    helper.read_image(photo)
    helper.get_face_landmarks_5(only_center_face=False)
    print(len(helper.all_landmarks_5), 'faces', np.array(helper.det_faces)[:, :5])
    helper.clean_all()
    helper.read_image(photo)
    helper.get_face_landmarks_5(only_center_face=True)
    print(helper.det_faces, helper.all_landmarks_5)
    helper.align_warp_face()
    crop = helper.cropped_faces[0]
    labels = parsed(helper, crop)
    print('face: labels', np.unique(labels, return_counts=True))
    face = np.where(np.isin(labels, GONE)[..., None], 255, crop)[..., ::-1]
    cloth = garment(helper, photo)
cv2.imwrite(out + '/crop.png', crop)
cv2.imwrite(out + '/face.png', face[..., ::-1])
cv2.imwrite(out + '/garment.png', cloth[..., ::-1])
save_file({'face.every8': np.ascontiguousarray(face[::8, ::8]).astype(np.uint8),
           'garment': np.ascontiguousarray(cloth).astype(np.uint8)}, out + '/official.safetensors')
