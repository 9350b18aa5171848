declare -A m; m[x]=1; m[y]=2; echo "${m[x]} ${m[y]} ${#m[@]}"
