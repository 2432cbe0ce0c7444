"""The decoder under its former path, for programs that import it from here; it lives in `craft.decode.decode`."""

from craft.decode.decode import DecodedWords, decode_maps, to_pixels

__all__ = ["DecodedWords", "decode_maps", "to_pixels"]
