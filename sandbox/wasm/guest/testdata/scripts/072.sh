mkdir d; cd d; pwd | sed 's|.*/||'; cd ..; (cd d; touch x); ls d; pushd d >/dev/null; popd >/dev/null; ls
