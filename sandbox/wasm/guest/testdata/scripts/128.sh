i=10; while ((i-- > 7)); do echo $i; done; select_=x; echo ${select_}; printf '%s\n' "${a:-none}"
