echo x > a; cp a b; mv b c; ln -s c l; cat l; readlink l; rm l; rmdir nodir 2>/dev/null; echo $?
