@echo off
rem Installs ccp-assess from this folder: no internet, no administrator rights. Needs Python @PYTHON@.
setlocal
cd /d "%~dp0"
set "PY="
py -@PYTHON@ -c "pass" >nul 2>&1 && set "PY=py -@PYTHON@"
if not defined PY python -c "import sys; sys.exit('%%d.%%d' %% sys.version_info[:2] != '@PYTHON@')" >nul 2>&1 && set "PY=python"
if not defined PY (
  echo This kit needs Python @PYTHON@. Install it for your own user, without administrator rights, and start this again.
  exit /b 1
)
set "HOME_OF_IT=%LOCALAPPDATA%\ccp-assess"
if not "%~1"=="" set "HOME_OF_IT=%~1"
echo Installing into %HOME_OF_IT% ...
%PY% -m venv "%HOME_OF_IT%\python" || exit /b 1
set "IN=%HOME_OF_IT%\python\Scripts\python.exe"
"%IN%" -m pip install --quiet --disable-pip-version-check --no-input --no-index --find-links wheels --no-deps --require-hashes -r requirements.txt || exit /b 1
for %%W in (wheels\ccp_assess-*.whl) do "%IN%" -m pip install --quiet --disable-pip-version-check --no-input --no-index --no-deps --force-reinstall "%%W" || exit /b 1
for %%D in (notebooks docs data) do xcopy /e /i /y /q "%%D" "%HOME_OF_IT%\%%D" >nul
> "%HOME_OF_IT%\notebooks.cmd" echo @"%%~dp0python\Scripts\jupyter-lab.exe" "%%~dp0notebooks\00-start-here.ipynb"
> "%HOME_OF_IT%\ccp-assess.cmd" echo @"%%~dp0python\Scripts\ccp-assess.exe" %%*
echo Done. Notebooks: %HOME_OF_IT%\notebooks.cmd    Command: %HOME_OF_IT%\ccp-assess.cmd
