{ echo x; echo y; } > f 2>&1; cat f; ls nosuch &> g; echo $?; exec 3> h; echo three >&3; exec 3>&-; cat h
