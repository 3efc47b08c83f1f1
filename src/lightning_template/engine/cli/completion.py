"""Completion of the command line in the shell.

By hand: jsonargparse would have shtab write 78 MB, of every class there is, and argcomplete import torch at each key.
"""

import re

_SCRIPT = """\
_lightning_template() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words=""
  case $before in
    --config | -c)
      words=$(find configs -name '*.yaml' 2>/dev/null | sed 's|^configs/||; s|[.]yaml$||')
      COMPREPLY=($(compgen -f -X '!*.yaml' -- "$word") $(compgen -d -S / -- "$word") $(compgen -W "$words" -- "$word"))
      ;;
    --with)
      words=$(find configs/with -name '*.yaml' 2>/dev/null | sed 's|^configs/with/||; s|[.]yaml$||')
      COMPREPLY=($(compgen -W "$words" -- "$word"))
      ;;
    --ckpt_path) COMPREPLY=($(compgen -W "best last" -- "$word") $(compgen -f -- "$word")) ;;
    */run) COMPREPLY=($(compgen -W "lightning-template pytest tensorboard" -- "$word")) ;;
    lightning-template) COMPREPLY=($(compgen -W "%s" -- "$word")) ;;
    *) COMPREPLY=($(compgen -W "%s" -- "$word")) ;;
  esac
}
complete -o filenames -o nospace -o default -F _lightning_template lightning-template scripts/run ./scripts/run
"""


def bash_completion(subcommands: tuple[str, ...], help_text: str) -> str:
    """Return a script for bash, or zsh with `bashcompinit`, that completes subcommands, options and their files.

    Args:
        subcommands: The subcommands.
        help_text: Text whose lines begin with the options.
    """
    options = re.findall(r"^  (--\w+(?:\.[a-z]\w*)*)", help_text, flags=re.MULTILINE)
    return _SCRIPT % (" ".join(subcommands), " ".join(options))
