mkdir d; echo hit > d/a; echo miss > d/b; grep -r hit d; grep -rl hit d; grep -L hit d/a d/b; grep -h hit d/*; grep -s x nosuch; echo $?
