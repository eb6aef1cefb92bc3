# `cargo xtask …` is completed as `xtask …` is.
function __fish_xtask_of_cargo
    set -l words (commandline -opc)
    complete --do-complete (string join ' ' -- xtask (string escape -- $words[3..]) (commandline -ct))
end
complete -c cargo -n '__fish_seen_subcommand_from xtask' -f -a '(__fish_xtask_of_cargo)'
