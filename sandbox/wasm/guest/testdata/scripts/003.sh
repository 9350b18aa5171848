echo -n x; echo -ne 'y\n'; echo -E 'a\nb'
