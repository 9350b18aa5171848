s=hello; echo "${s^} ${s^^} ${s:1:3} ${s: -3}"; t=WORLD; echo "${t,,} ${t,}"
