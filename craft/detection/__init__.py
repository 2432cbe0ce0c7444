"""From pictures to words: decoding, drawing, export."""
