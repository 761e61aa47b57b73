"""Bad input by mutation: small valid files and requests, damaged at random, for decoders and for the API itself."""
