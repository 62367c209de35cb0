"""One file per endpoint family: parse → task → upstream → format."""
