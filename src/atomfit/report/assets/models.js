// How models were compared, of two or of a series.

function madePanel() {
  const { versions, options, files, command, machine } = report.run;
  const paths = files.flatMap(({ name, path, sha256 }) => [[name, path], [`${name}: sha256`, sha256]]);
  recordPanel([["Models", [...paths, ["command", command.join(" ")]]]], [["Options", flat(options)], ["Versions", flat(versions)], ["Computer", flat(machine)]]);
}
