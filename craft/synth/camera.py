"""The camera: light, optics, exposure, sensor, resampling and compression."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from craft.synth.backgrounds import light_unevenly
from craft.synth.presets import CameraSettings
from craft.synth.rendered_scene import Image
from craft.synth.textures import texture


@dataclass(frozen=True, slots=True)
class Shot:
    """What the camera will do; chosen before text is rendered, since it decides what can be read."""

    shrink: float  # factor by which the scene is captured smaller and enlarged again, >= 1
    blur: float  # standard deviation of defocus, pixels
    motion: int  # length of motion blur, pixels; 0 for none
    direction: float  # of the motion, degrees
    level: float  # mean luminance that automatic exposure aims for
    gain: float  # factor of over- or underexposure
    noise: float  # standard deviation of sensor noise, levels
    tint: tuple[float, float, float]  # gains of red, green and blue
    light: bool  # whether light is uneven
    grey: bool
    jpeg: int  # quality of compression, 0 for none


def choose_shot(generator: Generator, settings: CameraSettings) -> Shot:
    """Choose what the camera does, as often as the settings say."""

    def chance(share: float) -> bool:
        return bool(generator.random() < share)

    dark, bright = chance(settings.dark), chance(settings.bright)
    gain = generator.uniform(0.3, 0.65) if dark else generator.uniform(1.3, 1.9) if bright else 1.0
    tint = generator.normal(1, 0.06, 3) if chance(settings.colour_cast) else np.ones(3)
    low, high = settings.jpeg_quality
    return Shot(
        shrink=float(generator.uniform(1.2, 2.5)) if chance(settings.resample) else 1.0,
        blur=float(generator.uniform(0.4, 2.2)) if chance(settings.defocus) else 0.0,
        motion=int(generator.integers(3, 11)) if chance(settings.motion) else 0,
        direction=float(generator.uniform(0, 180)),
        level=float(generator.uniform(75, 150)),
        gain=float(gain),
        noise=float(generator.uniform(0, 1) ** 1.5 * settings.noise * (1.8 if dark else 1.0)),
        tint=(float(tint[0]), float(tint[1]), float(tint[2])),
        light=chance(settings.lighting),
        grey=chance(settings.grey),
        jpeg=int(generator.integers(low, high + 1)) if chance(settings.jpeg) else 0,
    )


def photograph(generator: Generator, image: Image, shot: Shot) -> tuple[Image, float]:
    """Photograph a scene; return the image and the factor by which differences of luminance grew."""
    if shot.light:
        image = light_unevenly(generator, image)
    mean = float(image[::8, ::8].mean())
    gain = shot.gain * float(np.clip((shot.level / max(mean, 1.0)) ** 0.7, 0.7, 3.0))
    if shot.motion:
        image = cv2.filter2D(image, -1, _motion_kernel(shot.motion, shot.direction))
    if shot.blur > 0:
        image = cv2.GaussianBlur(image, (0, 0), shot.blur)
    size = (image.shape[1], image.shape[0])
    if shot.shrink > 1:
        small = (round(size[0] / shot.shrink), round(size[1] / shot.shrink))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    levels = np.arange(256)[:, None] * (gain * np.array(shot.tint))
    # bright parts roll off instead of clipping, as in a sensor's tone curve
    levels = np.where(levels > 190, 190 + 65 * np.tanh((levels - 190) / 90), levels)
    image = cv2.LUT(image, np.clip(levels, 0, 255).astype(np.uint8)[None])
    if shot.grey:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if shot.noise > 0:
        image = _with_noise(generator, image, shot.noise)
    if shot.shrink > 1:
        how = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)[int(generator.integers(2))]
        image = cv2.resize(image, size, interpolation=how)
    if shot.jpeg:
        encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, shot.jpeg])[1]
        image = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))
    return image, gain


def _with_noise(generator: Generator, image: Image, deviation: float) -> Image:
    tile = texture("grain")
    height, width = image.shape[:2]
    repeats = (-(-height // tile.shape[0]) + 1, -(-width // tile.shape[1]) + 1, 1)
    wide = tile if max(height, width) <= tile.shape[0] else np.tile(tile, repeats)
    top = int(generator.integers(wide.shape[0] - height + 1))
    left = int(generator.integers(wide.shape[1] - width + 1))
    crop = wide[top : top + height, left : left + width]
    strength = deviation / 42
    return cv2.addWeighted(image, 1.0, crop, strength, -128.0 * strength)


def _motion_kernel(length: int, degrees: float) -> np.ndarray:
    kernel = np.zeros((length, length), np.float32)
    reach = 0.5 * (length - 1)
    step = reach * np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])
    for share in np.linspace(-1, 1, 4 * length):
        x, y = np.round(reach + share * step).astype(int)
        kernel[y, x] += 1
    return kernel / kernel.sum()
